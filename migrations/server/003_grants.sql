-- What the programs may do at run time. A login gets its rights by being a member of one of these
-- roles, and by CONNECT on this database (`npm run migrate` gives both; docs/databases.md).
--
-- The log is append-only by these lines: nobody at run time may change or remove an event or a file.

-- Roles belong to the whole server: another database, or an administrator, may have made them.
do $$
declare
  wanted text;
begin
  foreach wanted in array array['notary_server', 'notary_projector'] loop
    begin
      if not exists (select from pg_roles where rolname = wanted) then
        execute format('create role %I nologin', wanted);
      end if;
    exception
      when duplicate_object or unique_violation then
        null; -- made by somebody else at this moment
      when insufficient_privilege then
        raise exception 'there is no role %, and % may not make one: have CREATE ROLE % run by somebody who may',
          wanted, current_user, wanted;
    end;
  end loop;
  execute format('revoke all on database %I from public', current_database());
end
$$;

revoke create on schema public from public;
grant usage on schema public to notary_server, notary_projector;

-- The API appends, and projects where no projector does.
grant select, insert on events, files to notary_server;
grant select, update (position) on log_head to notary_server;
grant select, insert, update, delete on metafiles to notary_server;
grant select, insert on changefeed to notary_server;
grant select, update (position) on projections to notary_server;

-- The projector, and with it replay and audit.
grant select on events, files to notary_projector;
grant select, insert, update, delete on metafiles, changefeed to notary_projector;
grant select, update (position) on projections to notary_projector;
