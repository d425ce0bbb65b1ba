// All that the page says, in Korean and English.

import { en } from "./words.en.js";
import { ko } from "./words.ko.js";

export const words = { ko, en };
