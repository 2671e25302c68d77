import { WindlassError } from '../../../errors.ts';

/**
 * Errors of the driver that blame what was asked for. All its others say something about the connection, or that a write
 * has no majority yet and may be rolled back; there are many, and each version knows more. Names, because classes differ
 * between realms under Jest.
 */
const BUGS = new Set([
  'MongoServerError',
  'MongoBulkWriteError',
  'MongoAPIError',
  'MongoInvalidArgumentError',
  'MongoMissingCredentialsError',
  'MongoMissingDependencyError',
  'MongoCompatibilityError',
  'MongoBatchReExecutionError',
  'MongoParseError',
]);
const OF_THE_DRIVER = /^(?:Mongo(?!ose)|MongooseServerSelection|PoolCleared)/;

/** What a server answers when it cannot do now what it can do at other times, or lets nobody in. */
const SERVER_ERRORS = new Set([
  1, // InternalError
  6, // HostUnreachable
  7, // HostNotFound
  8, // UnknownError
  13, // Unauthorized
  18, // AuthenticationFailed
  24, // LockTimeout
  46, // LockBusy
  50, // MaxTimeMSExpired
  63, // StaleShardVersion
  64, // WriteConcernFailed
  79, // UnknownReplWriteConcern
  89, // NetworkTimeout
  91, // ShutdownInProgress
  100, // UnsatisfiableWriteConcern
  112, // WriteConflict
  133, // FailedToSatisfyReadPreference
  134, // ReadConcernMajorityNotAvailableYet
  146, // ExceededMemoryLimit
  149, // InsufficientSpace
  189, // PrimarySteppedDown
  202, // NetworkInterfaceExceededTimeLimit
  246, // SnapshotUnavailable
  262, // ExceededTimeLimit
  317, // ConnectionPoolExpired
  371, // UserWritesBlocked
  462, // IngressRequestRateLimitExceeded
  9001, // SocketException
  10058, // NotPrimaryOrSecondary, of old
  10107, // NotWritablePrimary
  11600, // InterruptedAtShutdown
  11601, // Interrupted
  11602, // InterruptedDueToReplStateChange
  13388, // StaleConfig
  13435, // NotPrimaryNoSecondaryOk
  13436, // NotPrimaryOrSecondary
  14031, // OutOfDiskSpace
]);

const DUPLICATE_KEY = 11_000;

const RETRY_AFTER_SECONDS = 1;

interface DriverError {
  name?: unknown;
  code?: unknown;
}

/** The caller's error for what the driver threw. What is not an outage is a bug, and stays what it is. */
export function toError(error: unknown): unknown {
  const { name, code } = (error ?? {}) as DriverError;
  const ofConnection = typeof name === 'string' && OF_THE_DRIVER.test(name) && !BUGS.has(name);
  const passes = ofConnection || (typeof code === 'number' && SERVER_ERRORS.has(code));
  return passes ? unavailable('The database did not answer, or not in time.', error) : error;
}

/** The document was not inserted, because there is one with this id. */
export const isDuplicateKey = (error: unknown): boolean => ((error ?? {}) as DriverError).code === DUPLICATE_KEY;

export const unavailable = (detail: string, cause?: unknown): WindlassError =>
  new WindlassError('repository_unavailable', detail, { cause, retryAfter: RETRY_AFTER_SECONDS });
