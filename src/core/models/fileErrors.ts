import { MechanistError } from '../../shared/errors.ts';

/** A weight, config or tokenizer file that does not hold what its format promises. */
export function corrupt(file: string, what: string, data: Readonly<Record<string, unknown>> = {}): MechanistError {
  return new MechanistError(
    'model-corrupt',
    `${file}: ${what}. The file is damaged or incomplete: download or copy it again.`,
    { file, ...data },
  );
}

/** A model that is sound but outside of what the engine computes. `what` ends with what to do. */
export function unsupported(file: string, what: string, data: Readonly<Record<string, unknown>> = {}): MechanistError {
  return new MechanistError('model-unsupported', `${file}: ${what}`, { file, ...data });
}

/** The system's error code (`ENOENT`, `ENOSPC` …) of a failed file operation, or null. */
export function systemErrorCode(error: unknown): string | null {
  if (!(error instanceof Error) || !('code' in error)) return null;
  return typeof error.code === 'string' ? error.code : null;
}

/** Turns a failed read of `file` into an error that says what to do; anything unforeseen is returned as it is. */
export function readFailure(file: string, error: unknown): unknown {
  const code = systemErrorCode(error);
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new MechanistError('model-not-found', `${file} does not exist. Check the path, or pull the model again.`, {
      file,
    });
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new MechanistError('model-not-found', `${file} cannot be read: permission denied. Change its permissions.`, {
      file,
    });
  }
  if (code === 'EISDIR') {
    return new MechanistError('model-not-found', `${file} is a folder where a file was expected.`, { file });
  }
  if (code === 'ENAMETOOLONG' || code === 'ELOOP' || code === 'ERR_INVALID_ARG_VALUE') {
    return new MechanistError('model-not-found', `${JSON.stringify(file)} is not a path of this system (${code}).`, {
      file,
    });
  }
  if (code === 'EIO' || code === 'ENXIO') return corrupt(file, `the disk failed to read it (${code})`);
  return error;
}

/** Turns a failed write into an error that says what to do; anything unforeseen is returned as it is. */
export function writeFailure(file: string, error: unknown): unknown {
  const code = systemErrorCode(error);
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') {
    return new MechanistError(
      'disk-full',
      `No space left to write ${file}. Free some space, or move the cache with MECHANIST_CACHE.`,
      { file },
    );
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return new MechanistError(
      'bad-input',
      `${file} cannot be written (${code}). Choose another cache folder with MECHANIST_CACHE.`,
      { file },
    );
  }
  return error;
}
