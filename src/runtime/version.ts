/** The version of this build, from its package. */
import { readFileSync } from 'node:fs';

function packageVersion(): string {
  // From source the package is two folders up, from dist three.
  for (const path of ['../../package.json', '../../../package.json']) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as {
        name?: string;
        version?: string;
      };
      if (name === 'holdfast' && version !== undefined) return version;
    } catch {
      // Not there: try the other place.
    }
  }
  return 'unknown';
}

export const VERSION = packageVersion();
