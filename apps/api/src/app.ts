import type { Cause } from '@scrivener/events';
import type { PublishedFile, ReadModel } from '@scrivener/read-model';
import type { Logger } from '@scrivener/runtime';
import type { Gun, Metafile, PublicKey, ServerRole } from '@scrivener/tuf';
import express, { type Express } from 'express';

/** A publish as the edge understood it: the parts of the form in order, timestamps included. */
export interface PublishCommand {
  readonly gun: Gun;
  readonly upload: readonly Metafile[];
  readonly cause: Cause;
}

/** Everything the app needs. Use cases throw `TufError`, `SigningError` or `Unavailable`. */
export interface Deps {
  readonly readModel: Pick<ReadModel, 'current' | 'byVersion' | 'byChecksum' | 'changes'>;
  /** Resolves when the update is appended and readable through every API (WIRE §5 to §9). */
  publish(command: PublishCommand): Promise<void>;
  /** The current timestamp or snapshot, renewed first where it has expired (WIRE §8.4). */
  currentServerRole(gun: Gun, role: ServerRole): Promise<PublishedFile | undefined>;
  /** WIRE §4, GET. */
  serverKey(gun: Gun, role: ServerRole): Promise<PublicKey>;
  /** WIRE §4, POST. */
  rotateKey(gun: Gun, role: ServerRole): Promise<PublicKey>;
  /** WIRE §10. */
  deleteRepository(gun: Gun, cause: Cause): Promise<void>;
  /** What is wrong, by the name of the check; empty when all is well (WIRE §12). */
  health(): Promise<Readonly<Record<string, string>>>;
  readonly logger: Logger;
  /** How long caches may keep an answer, in seconds; 0 forbids it (WIRE §3). */
  readonly caching: { readonly current: number; readonly consistent: number };
  /** Empty: every GUN is welcome (WIRE §14.4). */
  readonly gunPrefixes: readonly string[];
  readonly limits: UploadLimits;
}

/** What a form may measure. Sizes in bytes. */
export interface UploadLimits {
  /** The whole body. */
  readonly uploadBytes: number;
  readonly parts: number;
  /** The header block of one part. */
  readonly partHeaderBytes: number;
}

/** The HTTP edge: routes in order, errors last. */
export function createApp(_deps: Deps): Express {
  return express();
}
