"""Server, worker and deployments on one machine, started by one command and ended by one."""
