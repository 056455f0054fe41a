"""PostgreSQL: connections, tables and their migrations, and notifications."""
