"""The laboratory's rooms: `claims` judges, `experiments` says what is run, `runner` runs it, `report` shows it."""
