// What a refused join was about.
import { ApiError } from "../app/api";
import type { MeetingPreview } from "../app/types";

export function isPasswordProblem(error: unknown, preview: MeetingPreview): boolean {
  return preview.has_password && error instanceof ApiError && /password/i.test(error.message);
}
