"""Reports of finished runs: a summary for the terminal, figures, and a page. They read a result and nothing else.

``summary.print_summary`` and ``summary.print_summaries`` print to a console, ``html.write_report`` writes the figures
and the page, ``story.tell`` gives the sentences, ``figures.draw`` the figures. matplotlib and Jinja2 are imported
when something is drawn or rendered, not before.
"""
