"""The parallelism of a training job, in mathematics."""

from __future__ import annotations

from formulations.statements.base import Decision, Formula, Named, RowOf, Statement

_LAYER = "mlsysim.physics.layer:LayerPart."
_PIPE = "mlsysim.physics.training:PipelinePart."
_SHARD = "mlsysim.physics.shard:ShardPart."
_STATE = "mlsysim.walls:State."
_TRAINING = "mlsysim.physics.training:"

_FLEET_ATTRIBUTES = (
    Named("N", "accelerators", "that run, where several numbers are open"),
    Named(r"\phi", "precision", "number of the format, where several are open"),
)

_DECISIONS = (
    Decision(
        "a",
        "layer",
        "how a layer is cut, and what one microbatch of it keeps and hides",
        (
            Named("t", "tp", "tensor-parallel ranks"),
            Named("c", "cp", "context-parallel ranks"),
            Named("e", "ep", "expert-parallel ranks"),
            Named(r"\mu", "microbatch_size", "sequences of a microbatch"),
            Named("", "recompute", "whether attention scores are recomputed"),
            Named("", "sequence_parallel", "whether the rest of the layer is divided by $t$ too"),
            Named("", "overlap_tensor", "whether tensor-parallel traffic hides"),
            Named("", "overlap_experts", "whether exchanges between experts hide"),
            *_FLEET_ATTRIBUTES,
        ),
    ),
    Decision(
        "b",
        "pipeline",
        "how layers are dealt to stages, and in what order microbatches pass them",
        (
            Named("p", "pp", "stages"),
            Named("v", "interleave", "model chunks of a stage"),
            Named("n_1", "first_stage_layers", "layers of the first stage"),
            Named("n_p", "last_stage_layers", "layers of the last stage"),
            Named("r", "recompute_layers", "layers of each stage that are recomputed in full"),
            Named("", "overlap_pipeline", "whether sends between stages hide"),
            Named("", "beyond", "whether the fleet leaves a scale-up domain, where both are open"),
        ),
    ),
    Decision(
        "s",
        "shard",
        "how training state is divided, and when gradients are reduced",
        (
            Named("t", "tp", "as in $a$"),
            Named("c", "cp", "as in $a$"),
            Named("p", "pp", "as in $b$"),
            Named("d", "dp", "data-parallel ranks"),
            Named("e", "ep", "as in $a$"),
            Named("z", "zero_stage", "ZeRO stage"),
            Named("", "overlap_gradients", "whether gradient traffic hides"),
            Named("", "offload_optimizer", "whether optimizer and state are on the host"),
            Named("", "beyond", "as in $b$"),
            *_FLEET_ATTRIBUTES,
        ),
    ),
    Decision(
        "f",
        "fleet",
        "how many run, in which format, how often a checkpoint",
        (
            Named(r"\tau", "interval", "between checkpoints, where a row or the objective is of the run"),
            Named("", "variant", "number of the way to run, which decoding reads"),
            *_FLEET_ATTRIBUTES,
        ),
        "open accelerators, precision or checkpoint interval",
    ),
)

_TABLES = (
    Named(r"\rho_a", _LAYER + "rounds", "rounds: microbatches over stages, $B t c / (N \\mu)$"),
    Named("y_a", _LAYER + "matmul", "with `elementwise` and `exposed`: a layer for one microbatch", "s"),
    Named("x_a", _LAYER + "again_matmul", "with the other `again_*`: what recomputing it adds", "s"),
    Named("h_a", _LAYER + "head", "with `head_stream`: the vocabulary layer", "s"),
    Named("b_a", _LAYER + "backward", "backward share of a layer, behind which gradients hide", "s"),
    Named("g_a", _LAYER + "boundary", "sent to the next stage", "byte"),
    Named(
        r"\alpha_a",
        _LAYER + "kept",
        "activations of a layer; $\\alpha'_a$ (`kept_again`) where recomputed",
        "byte",
    ),
    Named(r"\eta_a", _LAYER + "head_kept", "activations of the head", "byte"),
    Named("p_b", _PIPE + "stages", "stages"),
    Named(r"\kappa_b", _PIPE + "chunk", "$1/v$"),
    Named("n_b", _PIPE + "fullest", "layers of the fullest stage; $n^p_b$ (`last`) of the last"),
    Named(
        "r_b",
        _PIPE + "again_fullest",
        "recomputed layers of it; $r^p_b$ (`again_last`), $R_b$ (`again_total`) of all",
    ),
    Named(r"\sigma_b", _PIPE + "sends", "sends of a stage in a round; `fill_sends` in fill and drain"),
    Named(
        r"\beta_b,\lambda_b", _PIPE + "hop_per_byte", "time a byte and latency (`hop_latency`) of a hop", "s"
    ),
    Named("m_b", _PIPE + "in_last", "microbatches held by the last stage"),
    Named(
        "i_b, j_b", _PIPE + "in_first", "more than $p$ held by the first; $j_b$ (`in_middle`) by a middle one"
    ),
    Named("o_b", _PIPE + "less_middle", "fewer held by a middle stage, once the pipeline is filled"),
    Named(
        r"\phi_a, \psi_a, \zeta_a", _LAYER + "filled", "with `again` and `steady`: how far the pipeline fills"
    ),
    Named("w_s", _SHARD + "layer", "weights, gradients and optimizer state of a layer", "byte"),
    Named(
        "w^1_s",
        _SHARD + "first",
        "besides its layers, on the first stage; $w^p_s$ (`last`) on the last",
        "byte",
    ),
    Named(r"\omega_s", _SHARD + "gathered", "of one layer, by ZeRO 3", "byte"),
    Named(
        r"\gamma_s",
        _SHARD + "reduce_rest",
        "gradient traffic once a step; `reduce_bare` of it nothing hides",
        "s",
    ),
    Named(
        r"\gamma'_s",
        _SHARD + "gather_rest",
        "gathering of weights in every round; `gather_bare` likewise",
        "s",
    ),
    Named("u_s", _SHARD + "update", "optimizer step", "s"),
)

_DERIVED = (
    Formula(
        "Work of the average accelerator, over all $L$ layers:",
        r"W = \rho_a \left( L \, y_a + R_b \, x_a + h_a \right)",
        _TRAINING + "step",
    ),
    Formula(
        "Waiting of the average accelerator for a stage of $n$ layers of which $r$ are recomputed:",
        r"\beta(n, r) = \rho_a y_a (p_b n - L) + \kappa_b y_a (L - n) + \rho_a x_a (p_b r - R_b)"
        r" + \kappa_b x_a (R_b - r)",
        _TRAINING + "_bubble",
    ),
    Formula(
        "The bubble is that of the slower of the fullest and the last stage:",
        r"\Omega = \max \left\{ \beta(n_b, r_b) + (\kappa_b - \rho_a) h_a, \;"
        r" \beta(n^p_b, r^p_b) + \rho_a (p_b - 1) h_a \right\}",
        _TRAINING + "_bubble",
    ),
    Formula(
        "What is left of traffic $q$ that work $w$ may hide, besides $q^0$ that nothing hides; $\\theta$ is "
        "the share of the units that move data:",
        r"[q^0, q]_w = q^0 + \theta q + (1 - \theta) \max \{ 0, \; q - w \}",
        "mlsysim.physics.traffic:traffic_left",
    ),
    Formula(
        "Traffic: sends of the fill and drain ($\\sigma'_b$, `fill_sends`), gradients behind one backward "
        "pass, and sends and gathering behind the work of the step; sends that may not hide are in the "
        "first part of the bracket:",
        r"E = \sigma'_b (g_a \beta_b + \lambda_b) + [\gamma^0_s, \gamma_s]_{n_b b_a + r_b x_a} +"
        r" [\rho_a \gamma'^0_s, \; \rho_a (p_b \sigma_b (g_a \beta_b + \lambda_b) + \gamma'_s)]_w, \quad"
        r" w = \rho_a L y_a",
        _TRAINING + "_traffic",
    ),
    Formula("The step:", r"T = W + \Omega + E + u_s", _TRAINING + "Step.time"),
    Formula(
        "Training state of a stage of $n$ layers, besides what it holds as the first or the last; ZeRO 3 "
        "holds two layers gathered:",
        r"\Sigma(n) = n \, w_s + \min \{ 2, n \} \, \omega_s",
        _TRAINING + "_held",
    ),
    Formula(
        "Activations of the first, a middle and the last stage, of which $r^1$, $r$ and $r^p$ layers are "
        "recomputed; $\\phi_a$ says how far the pipeline fills, $\\psi_a$ whether there is a second round, "
        "$\\zeta_a$ whether it fills at all:",
        r"A_1 = (\phi_a p_b + \psi_a i_b) \left( \alpha_a (n_1 - r^1) + \alpha'_a r^1 \right), \quad"
        r" A = (\phi_a p_b + \psi_a j_b - \zeta_a o_b) \left( \alpha_a (n - r) + \alpha'_a r \right), \quad"
        r" A_p = m_b \left( \alpha_a (n_p - r^p) + \alpha'_a r^p \right)",
        _TRAINING + "_held",
    ),
    Formula(
        "Memory of the fullest accelerator; $\\epsilon$ is what the runtime needs, and a layer that is "
        "recomputed holds all of its activations while it is at work:",
        r"M = \epsilon + [r > 0] \, \alpha_a + \max \left\{ \Sigma(n_1) + w^1_s + A_1, \;"
        r" \Sigma(n) + A, \; \Sigma(n_p) + w^p_s + A_p + \eta_a \right\}",
        _TRAINING + "_held",
    ),
    Formula(
        "The time of the run over $D$ tokens, where the share $\\upsilon_f$ of it counts; the rest is lost "
        "to failures and checkpoints:",
        r"T_{\text{run}} = \frac{D}{B S \, \upsilon_f} \, T",
        "mlsysim.core.metrics:run_time",
    ),
)

_OBJECTIVES = (
    Formula(
        "`time`, `mfu`, `training-time`:", r"\min T, \qquad \max \frac{F}{N P T}, \qquad \min T_{\text{run}}"
    ),
    Formula(
        "`cost`, `energy`, `carbon`, and `cost+carbon` at a tax $\\pi$; $k_f$, $e_f$, $q_f$ are the bill's "
        "rates a second:",
        r"\min k_f T_{\text{run}}, \quad \min e_f T_{\text{run}}, \quad \min q_f T_{\text{run}}, \quad"
        r" \min \left( k_f + \pi q_f \right) T_{\text{run}}",
        "mlsysim.physics.operations:bill",
    ),
    Formula("`accelerators`:", r"\min N_f"),
    Formula(
        "Of equally good layouts, the least of these, one after the other (`_ties`):",
        r"t c p, \quad \text{offload}, \quad r, \quad v, \quad z, \quad e, \quad \mu, \quad |n_1 - n_p|",
        "formulations.parallelism:_ties",
    ),
)

_ROWS = (
    RowOf(
        "one",
        None,
        r"\sum_{a} x_a = \sum_{b} x_b = \sum_{s} x_s = \sum_{f} x_f = 1",
        "one cell of each choice",
    ),
    RowOf(
        "agree",
        None,
        r"\sum_{a : t(a) = k} x_a = \sum_{s : t(s) = k} x_s \quad \forall k",
        "choices that share an attribute agree on it: tp, cp, ep, pp, accelerators, precision",
    ),
    RowOf(
        "exclude",
        None,
        r"\sum_{a \in C} x_a + \sum_{s \in C'} x_s \le 1",
        "what does not go together: microbatches that do not divide the batch, interleaving without whole "
        "rounds, two ways to recompute",
    ),
    RowOf(
        "w02",
        2,
        r"M \le M_{\max}",
        "memory of the fullest accelerator; on the host too, where state may be there",
    ),
    RowOf(
        "w08",
        8,
        r"\text{bytes of a step} \le \text{bandwidth} \times T",
        "storage keeps up",
        "a `data` block",
    ),
    RowOf(
        "w09",
        9,
        r"\text{processor time of a step} \le \text{cores} \times T",
        "preparation keeps up",
        "a `data` block",
    ),
    RowOf(
        "w10",
        10,
        r"t \le \text{domain}, \qquad \text{bytes across the cut} \le \text{bisection} \times T",
        "tensor-parallel ranks in one domain, traffic within the bisection",
    ),
    RowOf(
        "w11",
        11,
        r"T_{\text{run}} \le \text{duration}",
        "operations, tokens and loss too, where limited",
        "`training_tokens`",
    ),
    RowOf("w13", 13, r"\ell_f \le \ell_{\max}", "loss of accuracy", "`constraints.accuracy_loss`"),
    RowOf(
        "w14",
        14,
        r"E_{\text{all}} \le \chi \, T",
        "exposed traffic, that of layers included",
        "`constraints.communication`",
    ),
    RowOf(
        "w15",
        15,
        r"\text{share lost}_f \le \chi",
        "failures and slow ranks",
        "`constraints.failures`, `stragglers`",
    ),
    RowOf(
        "w16",
        16,
        r"\text{wait}_f \le \text{wait}_{\max}",
        "for a place in a shared fleet",
        "`tenancy` and `constraints.wait`",
    ),
    RowOf("w17", 17, r"k_f \times \text{duration} \le \text{budget}", "cost", "`constraints.budget`"),
    RowOf(
        "w18",
        18,
        r"q_f \times \text{duration} \le \text{cap}",
        "carbon and water",
        "`constraints.carbon`, `water`",
    ),
    RowOf(
        "w19",
        19,
        r"\frac{\text{standstill}_f}{\tau} \le \chi, \qquad \text{bytes}_f \le \text{bandwidth} \times \tau",
        "checkpoints",
    ),
    RowOf(
        "w20",
        20,
        r"\text{slowdown} \le \text{slowdown}_{\max}, \qquad \varepsilon \le \varepsilon_{\max}, \qquad"
        r" \text{samples needed} \le \text{samples of the smallest group}",
        "private training, and data of every group",
        "a `privacy` or `fairness` block",
    ),
    RowOf(
        "assert",
        None,
        r"\text{numerator} \le \text{limit} \times \text{denominator}",
        "an assertion, multiplied out",
        "`constraints.assert`",
    ),
)

STATEMENT = Statement(
    name="parallelism",
    title="Parallelism of a training job",
    command="mlsysim optimize parallelism",
    guide="parallelism.md",
    modules=("formulations.parallelism", "formulations.fleet"),
    asks="Which layout of a training job is the best, of all that fit and keep the limits?",
    sets=(
        Named("L", "mlsysim.physics.job:Weights.layers", "layers of the model"),
        Named("B", "mlsysim.physics.job:Job.batch", "sequences of a step, $S$ tokens each"),
        Named("F", _STATE + "model_flops", "operations of a step"),
        Named("P", _STATE + "peak", "of one accelerator"),
        Named(r"M_{\max}", _STATE + "capacity", "of one accelerator"),
    ),
    decisions=_DECISIONS,
    tables=_TABLES,
    derived=_DERIVED,
    objectives=_OBJECTIVES,
    rows=_ROWS,
    remarks=(
        "The tables are filled by the functions that `eval` calls, and `step` joins them: with numbers in "
        "`eval`, with tables here. Each term is a table, a product of tables of two choices, or a maximum "
        "of such sums, so that the problem is linear exactly, as [the language of problems](language.md) "
        "says.",
        "Walls 1 and 3 are inside $y_a$ and hold by construction; walls 21 and 22 are asked of the solved "
        "problem ([analyses](analyses.md)). Walls 4 to 7 and 12 are of inference.",
    ),
    sources=("narayanan_2021", "korthikanti_2022", "rajbhandari_2020", "daly_2006"),
)
