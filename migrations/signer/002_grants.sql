-- What signer workers may do at run time: add keys and remove them, change none. A login gets its
-- rights by being a member of this role, and by CONNECT on this database (`npm run migrate` gives
-- both; docs/databases.md).

-- Roles belong to the whole server: another database, or an administrator, may have made it.
do $$
begin
  begin
    if not exists (select from pg_roles where rolname = 'notary_signer') then
      create role notary_signer nologin;
    end if;
  exception
    when duplicate_object or unique_violation then
      null; -- made by somebody else at this moment
    when insufficient_privilege then
      raise exception 'there is no role notary_signer, and % may not make one: have CREATE ROLE notary_signer run by somebody who may',
        current_user;
  end;
  execute format('revoke all on database %I from public', current_database());
end
$$;

revoke create on schema public from public;
grant usage on schema public to notary_signer;

grant select, insert, delete on private_keys, pending_keys to notary_signer;
