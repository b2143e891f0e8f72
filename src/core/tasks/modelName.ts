import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';

/** True for what can only be a place on disk, never a catalogue id. */
export function isModelPath(name: string): boolean {
  return /^(?:~|\.{1,2})?[\\/]/.test(name) || isAbsolute(name) || /\.gguf$/i.test(name);
}

/** Absolute path of a folder or file as a person wrote it, relative to the folder of the file that names it; ids stay. */
export function resolveModelName(name: string, folder: string | null): string {
  if (!isModelPath(name)) return name;
  if (/^~[\\/]/.test(name)) return join(homedir(), name.slice(2));
  return isAbsolute(name) ? name : resolve(folder ?? '.', name);
}
