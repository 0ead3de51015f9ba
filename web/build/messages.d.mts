export function compile(message: string): unknown;
