// What is in the bubble: words, a place, a person's card, and what is attached.
import { MapPin } from "lucide-preact";
import { t } from "../i18n/i18n";
import { Avatar } from "../ui/avatar";
import { Attachments } from "./attachments";
import { MessageText } from "./message-text";
import { nameOf, personOf } from "./people";
import type { Content, Location, Member } from "./types";

interface BodyProps {
  conversationId: string;
  content: Content;
  me: string;
  members: Member[];
}

// A map would tell a stranger where somebody is: the place opens only where one asks for it.
function Place({ at }: { at: Location }) {
  const coordinates = `${at.latitude.toFixed(5)}, ${at.longitude.toFixed(5)}`;
  const href = `https://www.openstreetmap.org/?mlat=${at.latitude}&mlon=${at.longitude}#map=16/${at.latitude}/${at.longitude}`;
  return (
    <a class="msg-card" href={href} target="_blank" rel="noopener noreferrer nofollow">
      <span class="msg-card-icon">
        <MapPin size={20} aria-hidden="true" />
      </span>
      <span class="msg-card-text">
        <span class="strong">{at.name || t("chat.kind.location")}</span>
        <span class="meta">{coordinates}</span>
      </span>
    </a>
  );
}

function Card({ id, me }: { id: string; me: string }) {
  const person = personOf(id);
  const content = (
    <>
      <Avatar name={nameOf(id)} url={person?.avatar_url} size={40} />
      <span class="msg-card-text">
        <span class="strong">{nameOf(id)}</span>
        <span class="meta">{person ? `@${person.username}` : ""}</span>
      </span>
    </>
  );
  return id === me ? (
    <span class="msg-card">{content}</span>
  ) : (
    <a class="msg-card" href={`/c/u:${id}`}>
      {content}
    </a>
  );
}

export function MessageBody({ conversationId, content, me, members }: BodyProps) {
  return (
    <>
      {content.attachments?.length ? <Attachments conversationId={conversationId} kind={content.kind} attachments={content.attachments} /> : null}
      {content.location && <Place at={content.location} />}
      {content.card_user_id && <Card id={content.card_user_id} me={me} />}
      <MessageText content={content} me={me} members={members} />
    </>
  );
}
