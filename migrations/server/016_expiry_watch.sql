-- Until when nobody else looks for alarms to raise: of several APIs that look at the same moment one
-- raises them. A time that is over means nothing, so a crash leaves nothing behind.
create table expiry_watch (
  only_row boolean primary key default true check (only_row),
  until timestamptz not null
);

grant select, insert, update on expiry_watch to notary_server;
