/** For text that is drawn beside a mark whose accessible name says the same in words; clicks go through to the mark. */
export const unspoken = { 'aria-hidden': true, 'pointer-events': 'none' } as const;
