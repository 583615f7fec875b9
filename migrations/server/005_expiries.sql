-- When what is current expires, who renews it, and what has been done about it.

-- Projected from the log, as "metafiles" is: what is current of each role, and of a root its
-- certificates besides.
create table expiries (
  gun text not null,
  gun_sha256 bytea not null,
  role text not null,
  subject text not null check (subject in ('metadata', 'certificates')),
  version bigint not null,
  made_by text not null check (made_by in ('client', 'server')),
  published_at timestamptz not null,
  expires_at timestamptz not null,
  primary key (gun_sha256, role, subject)
);

create index expiries_soonest on expiries (made_by, expires_at, gun_sha256, role, subject);
create index expiries_renewed on expiries (role, expires_at) where made_by = 'server';

-- Repositories that somebody is renewing, until when nobody else does, or that could not be renewed
-- and rest until then. A row whose time is over means nothing, so a crash leaves nothing behind.
create table renewal_claims (
  gun_sha256 bytea primary key,
  until timestamptz not null
);

-- The last alarm that was raised about something that a client has to renew: so many days before.
create table expiry_alarms (
  gun_sha256 bytea not null,
  role text not null,
  subject text not null,
  expires_at timestamptz not null,
  days integer not null,
  primary key (gun_sha256, role, subject)
);

-- What was projected before this table was there is projected again.
delete from metafiles;
delete from changefeed;
update projections set position = 0 where name = 'repositories';

grant select, insert, update, delete on expiries, renewal_claims, expiry_alarms to notary_server;
grant select, insert, update, delete on expiries to notary_projector;
