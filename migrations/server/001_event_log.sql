-- The log: what happened to every repository, in one order, for ever. Rows are only ever added.

-- One row. Whoever adds an event takes the next position here, in the same statement, and holds the
-- row until that statement is committed. So positions have no gap and stand in the order of commits.
create table log_head (
  only_row boolean primary key default true check (only_row),
  position bigint not null
) with (fillfactor = 10);

insert into log_head (position) values (0);

create table events (
  position bigint primary key,
  gun text not null,
  -- An index entry holds 2704 bytes at most, and a GUN may be longer.
  gun_sha256 bytea not null check (gun_sha256 = sha256(convert_to(gun, 'UTF8'))),
  version integer not null check (version > 0),
  type text not null,
  at timestamptz not null,
  -- json, not jsonb: both are kept as the text that was written.
  data json not null,
  cause json not null,
  hash bytea not null check (octet_length(hash) = 32),
  -- The concurrency check: of two that decided on the same version, one is refused.
  constraint events_stream_version unique (gun_sha256, version)
);

-- The exact bytes of metafiles under their checksum, each once.
create table files (
  sha256 bytea primary key check (sha256 = sha256(bytes)),
  bytes bytea not null
) with (toast_tuple_target = 8160);

-- Not compressed, and beside their row when they fit into a page: read often, written once.
alter table files alter column bytes set storage external;
