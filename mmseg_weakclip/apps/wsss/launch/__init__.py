"""How the commands of stages are started: processes, server, machines."""
