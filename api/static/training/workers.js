// The page of the workers: a seed is shown once.
import { showOnce } from "../shown_once.js";

showOnce();
