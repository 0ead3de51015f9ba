// Requests on their way, by the id that comes back with the answer. One that is not answered in time fails.
import { ApiError } from "./api-error";

interface Waiting {
  name: string;
  resolve: (answer: unknown) => void;
  reject: (error: Error) => void;
  timer: ReturnType<typeof setTimeout>;
}

export class Asked {
  private readonly waiting = new Map<number, Waiting>();
  private nextId = 1;

  constructor(private readonly limitMs: number) {}

  ask<T>(name: string, send: (id: number) => void): Promise<T> {
    const id = this.nextId++;
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => this.take(id)?.reject(new ApiError("deadline_exceeded", `no answer to ${name}`, "", 0)), this.limitMs);
      this.waiting.set(id, { name, resolve: resolve as (answer: unknown) => void, reject, timer });
      send(id);
    });
  }

  // Who waits for this answer, from now on no more; undefined: nobody.
  take(id: number | undefined): Waiting | undefined {
    const found = id === undefined ? undefined : this.waiting.get(id);
    if (!found || id === undefined) return undefined;
    this.waiting.delete(id);
    clearTimeout(found.timer);
    return found;
  }

  rejectAll(code: string, message: string): void {
    for (const id of [...this.waiting.keys()]) this.take(id)?.reject(new ApiError(code, message, "", 0));
  }
}
