// What went wrong, in the reader's language: by the error's code where we have words for it, else the server's own.
import { maybeText, t } from "../i18n/i18n";
import { ApiError } from "./api";

export function errorCode(error: unknown): string {
  return error instanceof ApiError ? error.code : "";
}

export function errorText(error: unknown): string {
  if (!(error instanceof ApiError)) return error instanceof Error ? error.message : t("error.unknown");
  // Of wrong input the server says which and why; that is worth more than our general words.
  const isSpecific = ["invalid_argument", "failed_precondition", "already_exists"].includes(error.code);
  if (isSpecific && error.message) return error.message;
  return maybeText(`error.${error.code}`) ?? error.message;
}
