import type { Target } from '../target.ts';
import { answer } from './answer.ts';
import { canonical } from './canonical-json.ts';
import { changefeed } from './changefeed.ts';
import { commandLine } from './command-line.ts';
import { configJson, configToml, configYaml } from './config.ts';
import { databaseUrl } from './database-url.ts';
import { delegation } from './delegation.ts';
import { event } from './event.ts';
import { grpc } from './grpc.ts';
import { http } from './http.ts';
import { jobKeyFile } from './job-key-file.ts';
import { job } from './job.ts';
import { json } from './json.ts';
import { mediaType } from './media-type.ts';
import { metafile } from './metafile.ts';
import { multipart } from './multipart.ts';
import { past } from './past.ts';
import { path } from './path.ts';
import { payload } from './payload.ts';
import { pem } from './pem.ts';
import { picture } from './picture.ts';
import { query } from './query.ts';
import { quotedPrintable } from './quoted-printable.ts';
import { root } from './root.ts';
import { route } from './route.ts';
import { sealedKey } from './sealed-key.ts';
import { signature } from './signature.ts';
import { snapshot } from './snapshot.ts';
import { targets as targetsFile } from './targets.ts';
import { tlsPort } from './tls-port.ts';
import { token } from './token.ts';
import { update } from './update.ts';
import { x509 } from './x509.ts';

/** Every reader of what others write, from the bytes of a file to those of a connection. */
export const targets: readonly Target[] = [
  json,
  canonical,
  metafile,
  root,
  targetsFile,
  delegation,
  snapshot,
  payload,
  pem,
  x509,
  signature,
  token,
  path,
  query,
  changefeed,
  multipart,
  mediaType,
  quotedPrintable,
  update,
  route,
  past,
  picture,
  http,
  tlsPort,
  job,
  answer,
  jobKeyFile,
  event,
  sealedKey,
  grpc,
  configJson,
  configYaml,
  configToml,
  commandLine,
  databaseUrl,
];
