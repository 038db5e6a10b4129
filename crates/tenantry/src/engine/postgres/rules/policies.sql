-- The policies of a table `t` that tenants have in common, as they have to be and as they are.
(SELECT form.polname, form.command, have.oid IS NOT NULL AS there,
        coalesce(have.polpermissive = form.permissive AND have.polcmd = '*' AND have.polroles = '{0}'
          AND (pg_get_expr(have.polqual, t.oid) = form.printed
               OR regexp_replace(pg_get_expr(have.polqual, t.oid), '{noise}', '', 'gi') = form.expression)
          AND regexp_replace(pg_get_expr(have.polwithcheck, t.oid), '{noise}', '', 'gi') = form.checked, false) AS intact
   FROM (VALUES
          ('tenantry_allow', true, 'true', 'true', 'true', 'AS PERMISSIVE FOR ALL TO PUBLIC USING (true) WITH CHECK (true)'),
          ('{policy}', false, '{printed}', '{isolation}', '{isolation}ANDSELECTtenantry.may_write',
           'AS RESTRICTIVE FOR ALL TO PUBLIC'
           ' USING ({hides})'
           ' WITH CHECK (tenant_id = (SELECT nullif(current_setting(''tenantry.tenant'', true), ''''))::uuid'
           ' AND (SELECT tenantry.may_write()))'),
          -- By a function of the wall's, because the owner of the table cannot name what this one calls.
          ('{first_policy}', false, '{printed_first}', '{hidden_first}', 'true', NULL)
        ) form(polname, permissive, printed, expression, checked, command)
   LEFT JOIN pg_policy have ON have.polrelid = t.oid AND have.polname = form.polname
  WHERE form.command IS NOT NULL OR have.oid IS NOT NULL OR to_regprocedure('tenantry.hide_first(regclass)') IS NOT NULL) form
