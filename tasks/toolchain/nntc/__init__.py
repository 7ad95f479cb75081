"""tpu-nntc, the vendor's older compiler, behind the interface of `tasks.toolchain`: never run against the real one."""
