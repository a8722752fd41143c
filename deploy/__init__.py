"""What Countersign runs on: the embedded local stack, migrations, container files, dashboards and alerts."""
