// Ids that nobody else makes.
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(15));
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_");
}

// One id for one wish: the same as long as the same is wished for, so that trying again makes no second one.
export class Wish {
  private current = "";
  private what = "";

  id(...parts: unknown[]): string {
    const what = JSON.stringify(parts);
    if (what !== this.what || !this.current) this.current = newId();
    this.what = what;
    return this.current;
  }
}
