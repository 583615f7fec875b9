-- What GETs read. Written only by projecting the log, and rebuilt from it at will.

-- How far each projection has got.
create table projections (
  name text primary key,
  position bigint not null
) with (fillfactor = 10);

insert into projections (name, position) values ('repositories', 0);

-- Every stored version of every role; the highest is current. The bytes are in "files".
create table metafiles (
  gun_sha256 bytea not null,
  role text not null,
  version bigint not null,
  sha256 bytea not null,
  published_at timestamptz not null,
  position bigint not null,
  primary key (gun_sha256, role, version)
);

create index metafiles_checksum on metafiles (gun_sha256, sha256);

create table changefeed (
  id bigint primary key,
  created_at timestamptz not null,
  gun text not null,
  gun_sha256 bytea not null,
  version bigint not null,
  sha256 bytea, -- none for a deletion
  category text not null check (category in ('update', 'deletion')),
  position bigint not null
);

create index changefeed_gun on changefeed (gun_sha256, id);
