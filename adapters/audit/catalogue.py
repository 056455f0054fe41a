"""The definitions of the log's tables and functions in PostgreSQL's catalogue.

A table can be replaced by a view that shows other events to some readers, and rules, policies,
triggers, child tables or another function can change what is read or written. Each of the log's
objects must therefore be defined as the migrations define it.
"""

from pathlib import Path

from adapters.audit.stored import Connection

TABLES = ("log.stemma_events", "log.checkpoints", "log.tiles")

_FUNCTIONS = (
    "append",
    "correlation_of",
    "keep_subject_keys",
    "project_of",
    "refuse_change",
    "refuse_other_additions",
    "shred_subject_keys",
)

_FACTS = """
WITH log AS (SELECT oid, nspowner FROM pg_namespace WHERE nspname = 'log'),
relation AS (
    SELECT pg_class.*, format('log.%%s', relname) AS name, nspowner
    FROM pg_class JOIN log ON relnamespace = log.oid WHERE relname = ANY(%(tables)s)
)
SELECT format('%%s is a %%s', name, CASE relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view'
       WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
       WHEN 'p' THEN 'partitioned table' ELSE 'relation of kind ' || relkind::text END)
FROM relation
UNION ALL SELECT format('%%s is %%s', name, CASE relpersistence WHEN 'u' THEN 'unlogged'
    ELSE 'temporary' END) FROM relation WHERE relpersistence <> 'p'
UNION ALL SELECT format('%%s is owned by %%s, who does not own the schema log', name,
    pg_get_userbyid(relowner)) FROM relation WHERE relowner <> nspowner
UNION ALL SELECT format('%%s lets %%s %%s', name,
    coalesce(pg_get_userbyid(nullif(grantee, 0)), 'everybody'), privilege_type)
    FROM relation CROSS JOIN aclexplode(relacl)
    WHERE privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER')
        AND grantee <> relowner AND relname <> 'tiles'
UNION ALL SELECT format('%%s has row security', name) FROM relation
    WHERE relrowsecurity OR relforcerowsecurity
UNION ALL SELECT format('%%s has the policy %%I', name, polname)
    FROM relation JOIN pg_policy ON polrelid = relation.oid
UNION ALL SELECT format('%%s has the rule %%I', name, rulename)
    FROM relation JOIN pg_rewrite ON ev_class = relation.oid
UNION ALL SELECT format('%%s has the child table %%s', name, inhrelid::regclass)
    FROM relation JOIN pg_inherits ON inhparent = relation.oid
UNION ALL SELECT format('%%s is a child of %%s', name, inhparent::regclass)
    FROM relation JOIN pg_inherits ON inhrelid = relation.oid
UNION ALL SELECT format('%%s has the column %%I %%s%%s%%s%%s', name, attname,
    format_type(atttypid, atttypmod),
    CASE WHEN attcollation NOT IN (0, 'pg_catalog.default'::regcollation)
        THEN format(' COLLATE %%s', attcollation::regcollation) ELSE '' END,
    CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END,
    CASE WHEN attidentity <> '' THEN ' IDENTITY ' || attidentity::text
        WHEN attgenerated <> '' THEN ' GENERATED'
        WHEN atthasdef THEN (SELECT ' DEFAULT ' || pg_get_expr(adbin, adrelid)
            FROM pg_attrdef WHERE adrelid = attrelid AND adnum = attnum) ELSE '' END)
    FROM relation JOIN pg_attribute ON attrelid = relation.oid
    WHERE attnum > 0 AND NOT attisdropped
UNION ALL SELECT format('%%s has the %%sindex %%s', name,
    CASE WHEN indisvalid AND indisready AND indislive THEN '' ELSE 'invalid ' END,
    pg_get_indexdef(indexrelid))
    FROM relation JOIN pg_index ON indrelid = relation.oid
UNION ALL SELECT format('%%s has the constraint %%I %%s', name, conname,
    pg_get_constraintdef(c.oid))
    FROM relation JOIN pg_constraint c ON conrelid = relation.oid WHERE contype <> 'n'
UNION ALL SELECT format('%%s has the trigger %%s, %%s', name, pg_get_triggerdef(t.oid),
    CASE tgenabled WHEN 'A' THEN 'always on' WHEN 'O' THEN 'on' WHEN 'R' THEN 'on for replicas'
    ELSE 'off' END)
    FROM relation JOIN pg_trigger t ON tgrelid = relation.oid WHERE NOT tgisinternal
UNION ALL SELECT format('%%s has the definition %%s%%s', p.oid::regprocedure,
    md5(coalesce(prosrc, '') || coalesce(pg_get_function_sqlbody(p.oid), '')
        || prosecdef::text || coalesce(proconfig::text, '') || lanname),
    CASE WHEN proowner = nspowner THEN '' ELSE ' and another owner than the schema log' END)
    FROM pg_proc p JOIN log ON pronamespace = log.oid JOIN pg_language l ON l.oid = prolang
    WHERE proname = ANY(%(functions)s)
"""


def expected() -> set[str]:
    """The definitions that the migrations make."""
    return set(Path(__file__).with_name("catalogue.txt").read_text("utf-8").splitlines())


def facts(connection: Connection) -> set[str]:
    """The definitions of the log's tables and functions, a sentence each."""
    with connection.transaction():
        # So that names are written in full, whatever the search path of this role.
        connection.execute("SET LOCAL search_path = pg_catalog")
        names = [name.removeprefix("log.") for name in TABLES]
        parameters = {"tables": names, "functions": list(_FUNCTIONS)}
        return {fact for (fact,) in connection.execute(_FACTS, parameters)}


def differences(connection: Connection) -> list[str]:
    """Each definition that is not as the migrations made it, or that is missing."""
    present, due = facts(connection), expected()
    return [
        *(f"the catalogue says: {fact}" for fact in sorted(present - due)),
        *(f"the catalogue no longer says: {fact}" for fact in sorted(due - present)),
    ]
