// Texts of the script that loads the demo data, in one place for translation.

export const DRAWING = "Drawing images…";
export const UPLOADING = "Uploading images…";
export const ANNOTATING = "Annotating…";
export const PROJECT = "Shapes (demo)";
export const VIEW = "Which shape";
