"""PostgreSQL: connections, tables and their migrations, and what it notifies."""
