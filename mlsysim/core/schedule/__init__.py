"""Several jobs, over regions and hours: what they ask, what a schedule takes."""
