-- Two generations of the read model side by side. One is live: GETs read it. The other one may be
-- empty, or being built from the log, or what was live before, kept for a way back
-- (docs/adr/0025-generations.md).
--
-- The first has the tables and the checkpoint that were there before, so that programs from before
-- this migration go on with it; they need not know which one is live.

alter table metafiles add column slot "char" not null default 'a' check (slot = 'a');
alter table changefeed add column slot "char" not null default 'a' check (slot = 'a');
alter table expiries add column slot "char" not null default 'a' check (slot = 'a');

create table metafiles_b (like metafiles including all);
create table changefeed_b (like changefeed including all);
create table expiries_b (like expiries including all);

do $$
declare
  name text;
begin
  foreach name in array array['metafiles', 'changefeed', 'expiries'] loop
    execute format('alter table %1$I_b alter slot set default ''b'', drop constraint %1$s_slot_check, add check (slot = ''b'')', name);
    execute format('create table %1$I_generations (like %1$I) partition by list (slot)', name);
    execute format('alter table %1$I_generations attach partition %1$I for values in (''a'')', name);
    execute format('alter table %1$I_generations attach partition %1$I_b for values in (''b'')', name);
  end loop;
end
$$;

-- Whoever writes to a generation locks its checkpoint, and sees in the same row whether it is live.
alter table projections add column live boolean not null default true;
insert into projections (name, position, live) values ('repositories_b', 0, false);

-- One row, and the truth for readers. A table of its own, for it hardly ever changes: checkpoints
-- do with each batch, and old versions of rows are slow to step over.
create table serving (
  only_row boolean primary key default true check (only_row),
  slot "char" not null check (slot in ('a', 'b')),
  -- What the other one is.
  other text not null check (other in ('empty', 'building', 'kept')),
  -- Of the live one: 1, 2, 3 … One that was kept gets its number back.
  generation bigint not null,
  other_generation bigint not null,
  since timestamptz not null
);

insert into serving (slot, other, generation, other_generation, since) values ('a', 'empty', 1, 0, now());

-- What is live. The other generation is left out when a query begins, before any of its rows is read.
create view live_metafiles as
  select gun_sha256, role, version, sha256, published_at, position
  from metafiles_generations where slot = (select slot from serving);

create view live_changefeed as
  select id, created_at, gun, gun_sha256, version, sha256, category, position
  from changefeed_generations where slot = (select slot from serving);

create view live_expiries as
  select gun, gun_sha256, role, subject, version, made_by, published_at, expires_at
  from expiries_generations where slot = (select slot from serving);

grant select on serving, live_metafiles, live_changefeed, live_expiries
  to notary_server, notary_projector;
grant select, insert, update, delete on metafiles_b, expiries_b to notary_server;
grant select, insert on changefeed_b to notary_server;
grant select, insert, update, delete on metafiles_b, changefeed_b, expiries_b to notary_projector;

-- To change what is live is the projector's: `projector rebuild`.
grant update (live) on projections to notary_projector;
grant update (slot, other, generation, other_generation, since) on serving to notary_projector;
