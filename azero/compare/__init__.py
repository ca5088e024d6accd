"""Ways to learn from the amplified model, compared under one budget: plan, runs, figures of each run, pages."""
