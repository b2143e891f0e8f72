import { join } from 'node:path';

/**
 * Where downloaded and prepared models live: `MECHANIST_CACHE`, else the platform's cache folder. The editor and the
 * command line use the same one, so that nothing is downloaded twice.
 * @param env environment of the process; @param platform `process.platform`; @param home the person's home folder.
 */
export function cacheFolder(env: Readonly<Record<string, string | undefined>>, platform: string, home: string): string {
  const chosen = env.MECHANIST_CACHE;
  if (chosen !== undefined && chosen !== '') return chosen;
  if (platform === 'darwin') return join(home, 'Library', 'Caches', 'mechanist');
  if (platform === 'win32') return join(env.LOCALAPPDATA || join(home, 'AppData', 'Local'), 'mechanist');
  return join(env.XDG_CACHE_HOME || join(home, '.cache'), 'mechanist');
}
