-- The signer's own database: private keys, sealed. Rows are added and, in pending_keys, deleted;
-- nothing is ever updated, so SELECT, INSERT and DELETE are all that a worker's user needs.

create table private_keys (
  key_id           text primary key check (key_id ~ '^[0-9a-f]{64}$'),
  gun              text not null,
  role             text not null,
  algorithm        text not null,
  passphrase_alias text not null,
  public           bytea not null,
  private          text not null, -- JWE in compact form
  created_at       timestamptz not null default now()
);

-- Keys that have not signed yet. The primary key is what makes simultaneous askers agree on one.
create table pending_keys (
  -- Of the UTF-8: an index entry holds 2704 bytes at most, and a GUN may be longer.
  gun_sha256 bytea not null check (octet_length(gun_sha256) = 32),
  role       text not null,
  algorithm  text not null,
  key_id     text not null unique references private_keys,
  primary key (gun_sha256, role, algorithm)
);
