// Calls about one's own account: profile, picture, password, where one is signed in.
import { call, setProfile, signedIn } from "./api";
import type { Profile, SignIn } from "./types";

export type ProfileFields = Partial<
  Pick<Profile, "nickname" | "email" | "phone" | "description" | "locale" | "time_zone" | "avatar_url">
>;

const own = () => `/users/${encodeURIComponent(signedIn.value?.user.id ?? "me")}`;

export async function updateProfile(fields: ProfileFields): Promise<void> {
  setProfile(await call<Profile>(own(), { method: "PUT", json: fields }));
}

export async function putAvatar(image: Blob): Promise<void> {
  setProfile(await call<Profile>(`${own()}/avatar`, { method: "PUT", body: image }));
}

export const changePassword = (oldPassword: string, newPassword: string) =>
  call<object>("/auth/password", { method: "POST", json: { old_password: oldPassword, new_password: newPassword } });

export const listSignIns = async () => (await call<{ sessions?: SignIn[] }>("/auth/sessions")).sessions ?? [];
// "others": all but this one.
export const endSignIn = (id: string) => call<object>(`/auth/sessions/${encodeURIComponent(id)}`, { method: "DELETE" });

const sideMost = 384;

// The middle of a picture as a square that is large enough for every place it is shown in.
export async function squarePicture(file: File): Promise<Blob> {
  const picture = await createImageBitmap(file);
  const cut = Math.min(picture.width, picture.height);
  const side = Math.min(cut, sideMost);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  const g = canvas.getContext("2d");
  if (!g) throw new Error("no canvas");
  g.imageSmoothingQuality = "high";
  g.drawImage(picture, (picture.width - cut) / 2, (picture.height - cut) / 2, cut, cut, 0, 0, side, side);
  picture.close();
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no picture"))), "image/jpeg", 0.9),
  );
}
