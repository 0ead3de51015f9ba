// Compiles the ICU messages of src/i18n/<language>/<part>.json into a form that format.ts evaluates without a parser:
// a text alone stays a string; else an array of texts and nodes (see `Node` in src/i18n/format.ts).
import { readFile } from "node:fs/promises";
import { parse, TYPE } from "@formatjs/icu-messageformat-parser";

function node(element) {
  switch (element.type) {
    case TYPE.literal:
      return element.value;
    case TYPE.argument:
      return ["a", element.value];
    case TYPE.number:
      return ["n", element.value];
    case TYPE.pound:
      return ["#"];
    case TYPE.plural:
      return ["p", element.value, element.offset, options(element.options)];
    case TYPE.select:
      return ["s", element.value, options(element.options)];
    default:
      throw new Error(`ICU element of type ${element.type} is not supported`);
  }
}

function options(all) {
  return Object.fromEntries(Object.entries(all).map(([name, option]) => [name, sequence(option.value)]));
}

function sequence(elements) {
  const nodes = elements.map(node);
  return nodes.every((n) => typeof n === "string") ? nodes.join("") : nodes;
}

export function compile(message) {
  return sequence(parse(message, { ignoreTag: true, requiresOtherClause: true }));
}

export function messagesPlugin() {
  return {
    name: "messages",
    setup(build) {
      build.onLoad({ filter: /[\\/]i18n[\\/][a-z-]+[\\/][a-z]+\.json$/i }, async ({ path }) => {
        const catalogue = JSON.parse(await readFile(path, "utf8"));
        const compiled = {};
        for (const [key, message] of Object.entries(catalogue)) {
          try {
            compiled[key] = compile(message);
          } catch (cause) {
            return { errors: [{ text: `${path}: ${key}: ${cause.message}` }] };
          }
        }
        return { contents: JSON.stringify(compiled), loader: "json" };
      });
    },
  };
}
