// Texts of the scripts that upload and import, in one place for translation.
import { counted, number, percent, size } from "../numbers.js";

export const CHOOSE_AN_ARCHIVE = "choose an archive first";
export const CHOOSE_FILES = "Choose one or more image files first.";
export const sent = (share, bytes) => `${percent(share)} of ${size(bytes)} sent`;
export const SENT = "Sent. The server is storing it.";
export const unreachable = (file) => `The server does not answer, or ${file} can no longer be read. Try again: it is safe to retry.`;
export const uploaded = (files) => `${counted(files, "file")} uploaded`;
export const uploading = (done, all, refused) => `${number(done)} of ${counted(all, "file")}${refused ? `, ${number(refused)} refused` : ""}`;
