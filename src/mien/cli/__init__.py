"""The command line: talks to people, one file a verb. Heavy imports happen inside the verbs."""
