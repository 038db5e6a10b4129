//! What may be done with the shared tables, and by whom.

use crate::engine::postgres::names::{Names, SHARED, literal, quoted};

/// In a block over `thing`: tenants read a shared table by its columns. The right on the table would show them the server's own columns
/// too, and `xmax` tells which rows others refer to.
fn readers_by_column(readers: &[String]) -> String {
    let readers = readers.iter().map(|name| literal(name)).collect::<Vec<_>>().join(", ");
    format!(
        "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO columns
           FROM pg_attribute WHERE attrelid = thing.oid AND attnum > 0 AND NOT attisdropped;
         FOREACH who IN ARRAY ARRAY[{readers}] LOOP
             IF columns IS NOT NULL AND (has_table_privilege(who, thing.oid, 'SELECT') OR EXISTS (
                 SELECT FROM pg_attribute WHERE attrelid = thing.oid AND attnum > 0 AND NOT attisdropped
                    AND NOT has_column_privilege(who, thing.oid, attnum, 'SELECT'))) THEN
                 EXECUTE format('REVOKE SELECT ON {SHARED}.%s FROM %I', thing.name, who);
                 EXECUTE format('GRANT SELECT (%s) ON {SHARED}.%s TO %I', columns, thing.name, who);
             END IF;
         END LOOP;"
    )
}

/// What may be done with the shared tables, said again after each file: for all of them that the current role may speak for.
pub(crate) fn shared_grants(names: &Names) -> String {
    let (reader, remote) = (quoted(&names.reader()), quoted(&names.remote()));
    let (rows, shared) = (quoted(&names.rows_role()), quoted(&names.shared_login()));
    let (owner, authors) = (quoted(&names.owner()), quoted(&names.authors()));
    let by_column = readers_by_column(&[names.reader(), names.rows_role()]);
    format!(
        "DO $grants$ DECLARE thing record; who text; columns text; BEGIN
             -- To everybody who may name what is in it, as when it was made.
             IF (SELECT pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = '{SHARED}') THEN
                 GRANT USAGE ON SCHEMA {SHARED} TO PUBLIC;
             END IF;
             FOR thing IN SELECT c.oid, c.relkind, quote_ident(c.relname) AS name
                   FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
                  WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = '{SHARED}'::regnamespace
                    AND d.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
                    AND pg_has_role(c.relowner, 'USAGE') LOOP
                 IF thing.relkind = 'S' THEN
                     EXECUTE 'GRANT USAGE ON SEQUENCE {SHARED}.' || thing.name || ' TO {shared}';
                 ELSE
                     IF thing.relkind IN ('r', 'p') THEN
                         EXECUTE 'GRANT SELECT ON {SHARED}.' || thing.name || ' TO {remote}';
                         {by_column}
                     ELSE
                         EXECUTE 'GRANT SELECT ON {SHARED}.' || thing.name || ' TO {reader}, {remote}, {rows}';
                     END IF;
                     EXECUTE 'GRANT SELECT, REFERENCES ON {SHARED}.' || thing.name || ' TO {owner}, {authors}';
                     EXECUTE 'GRANT SELECT, INSERT, UPDATE, DELETE ON {SHARED}.' || thing.name || ' TO {shared}';
                 END IF;
             END LOOP;
         END $grants$"
    )
}
