// Evaluates messages that build/messages.mjs compiled from ICU. Small on purpose: texts, arguments, numbers, plurals
// (with exact cases and offsets) and selects, everything else is done with Intl before.

export type Node =
  | string
  | ["a" | "n", string]
  | ["#"]
  | ["p", string, number, Record<string, Message>]
  | ["s", string, Record<string, Message>];
export type Message = string | Node[];
export type Args = Record<string, string | number>;

const pluralRules = new Map<string, Intl.PluralRules>();
const numberFormats = new Map<string, Intl.NumberFormat>();

export function numberFormat(locale: string): Intl.NumberFormat {
  let format = numberFormats.get(locale);
  if (!format) numberFormats.set(locale, (format = new Intl.NumberFormat(locale)));
  return format;
}

function pluralCase(locale: string, count: number, offset: number, cases: Record<string, Message>): Message {
  const exact = cases[`=${count}`];
  if (exact !== undefined) return exact;
  let rules = pluralRules.get(locale);
  if (!rules) pluralRules.set(locale, (rules = new Intl.PluralRules(locale)));
  return cases[rules.select(count - offset)] ?? cases["other"] ?? "";
}

export function evaluate(message: Message, args: Args, locale: string, pound = 0): string {
  if (typeof message === "string") return message;
  let text = "";
  for (const node of message) {
    if (typeof node === "string") {
      text += node;
      continue;
    }
    switch (node[0]) {
      case "a":
        text += String(args[node[1]] ?? "");
        break;
      case "n":
        text += numberFormat(locale).format(Number(args[node[1]]));
        break;
      case "#":
        text += numberFormat(locale).format(pound);
        break;
      case "p": {
        const count = Number(args[node[1]]);
        text += evaluate(pluralCase(locale, count, node[2], node[3]), args, locale, count - node[2]);
        break;
      }
      case "s":
        text += evaluate(node[2][String(args[node[1]])] ?? node[2]["other"] ?? "", args, locale, pound);
    }
  }
  return text;
}
