// What a message says, drawn: the safe subset of Markdown, with those who are meant standing out.
import type { ComponentChildren } from "preact";
import { useMemo } from "preact/hooks";
import { language, t } from "../i18n/i18n";
import { parseMarkup, type Span } from "./markup";
import { everybody, segments, type Named } from "./mentions";
import { namesOf, nameOf } from "./people";
import type { Content, Member } from "./types";

function Plain({ text, named, me }: { text: string; named: Named[]; me: string }): ComponentChildren {
  if (!named.length) return text;
  return segments(text, named).map((s, i) =>
    typeof s === "string" ? (
      s
    ) : (
      <span key={i} class={`mention${s.id === me || s.id === everybody ? " is-me" : ""}`} title={s.id === everybody ? t("chat.everybody") : nameOf(s.id)}>
        {s.text}
      </span>
    ),
  );
}

function Spans({ spans, named, me }: { spans: Span[]; named: Named[]; me: string }): ComponentChildren {
  return spans.map((s, i) => {
    switch (s.type) {
      case "text":
        return <Plain key={i} text={s.text} named={named} me={me} />;
      case "code":
        return <code key={i}>{s.text}</code>;
      case "block":
        return (
          <pre key={i} tabIndex={0}>
            <code>{s.text}</code>
          </pre>
        );
      case "link":
        return (
          <a key={i} href={s.href} target="_blank" rel="noopener noreferrer nofollow">
            {s.href}
          </a>
        );
      default: {
        const Tag = s.type;
        return (
          <Tag key={i}>
            <Spans spans={s.spans} named={named} me={me} />
          </Tag>
        );
      }
    }
  });
}

const emojiAlone = /^(?:\p{Extended_Pictographic}[\p{Emoji_Modifier}\u200d\ufe0f\p{Extended_Pictographic}]*\s*){1,3}$/u;
/** Only short texts are asked: the expression takes its time over long ones. */
export const isEmojiAlone = (text: string) => text.length <= 64 && emojiAlone.test(text);

export function MessageText({ content, me, members }: { content: Content; me: string; members: Member[] }) {
  const spans = useMemo(() => parseMarkup(content.text), [content.text, language()]);
  if (!content.text) return null;
  const named: Named[] = (content.mentions ?? []).map((id) => ({ id, names: namesOf(id, members.find((m) => m.user_id === id)?.nickname) }));
  if (content.is_mentioning_all) named.push({ id: everybody, names: [t("chat.everybody"), "all", "所有人", "everybody"] });
  return (
    <div class={`msg-text${isEmojiAlone(content.text) ? " is-emoji" : ""}`}>
      <Spans spans={spans} named={named} me={me} />
    </div>
  );
}
