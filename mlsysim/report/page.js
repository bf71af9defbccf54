document.querySelectorAll("button[data-copy]").forEach(function (button) {
  button.addEventListener("click", function () {
    var text = document.getElementById(button.dataset.copy).textContent;
    function said(word) { button.textContent = word; setTimeout(function () { button.textContent = "Copy"; }, 2000); }
    function byHand() {
      var area = document.createElement("textarea");
      area.value = text; document.body.appendChild(area); area.select();
      said(document.execCommand("copy") ? "Copied" : "Select and copy"); area.remove();
    }
    if (navigator.clipboard) { navigator.clipboard.writeText(text).then(function () { said("Copied"); }, byHand); }
    else { byHand(); }
  });
});
window.addEventListener("beforeprint", function () {
  document.querySelectorAll("details").forEach(function (d) { d.open = true; });
});
