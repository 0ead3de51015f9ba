// `import emoji from "emoji:reactions"`: the drawings of the reactions, so that they look alike on every system. Only the
// named ones of the icon set end up in the bundle.
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const reactions = {
  "👍": "thumbs-up",
  "👏": "clapping-hands",
  "❤️": "red-heart",
  "😂": "face-with-tears-of-joy",
  "😮": "face-with-open-mouth",
  "🎉": "party-popper",
  "🤔": "thinking-face",
  "👎": "thumbs-down",
};

export function emojiPlugin() {
  return {
    name: "emoji",
    setup(build) {
      build.onResolve({ filter: /^emoji:reactions$/ }, ({ path }) => ({ path, namespace: "emoji" }));
      build.onLoad({ filter: /.*/, namespace: "emoji" }, () => {
        const set = require("@iconify-json/fluent-emoji-flat/icons.json");
        const drawings = Object.entries(reactions).map(([text, name]) => {
          const icon = set.icons[name];
          if (!icon) throw new Error(`the icon set has no ${name}`);
          return [text, icon.body];
        });
        return { contents: `export default ${JSON.stringify(drawings)}`, loader: "js" };
      });
    },
  };
}
