// The entrance of the meeting's chunk.
import type { JoinFields } from "../app/meetings";
import type { JoinReply } from "../app/types";
import { MeetingSession } from "./session";

export { AfterPage } from "./after";
export { MeetingView } from "./view";

export function enterMeeting(reply: JoinReply, fields: JoinFields): MeetingSession {
  return new MeetingSession(reply, fields);
}
