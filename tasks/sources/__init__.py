"""Where bytes come from: the grammar of mirrors, and one module for each way of asking a mirror once."""
