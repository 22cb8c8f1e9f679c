--- JSON: the one place that knows which library reads and writes it.
--
-- Whole numbers are integers, arrays stay arrays (also empty ones), `null`
-- members of objects are left out. One value has one text: keys are sorted, so
-- that texts can be compared and hashed.
-- @module appmgr.json

local core = require("core.json")

local M = {}

--- What `null` in an array (or alone) is read as, and what writes `null`.
M.null = core.null

--- Reads a JSON text.
-- @function decode
-- @tparam string text UTF-8
-- @tparam[opt=64] integer max_depth how deep it may be nested (at most 256)
-- @return the value, or nil
-- @treturn ?string "line L, column C: reason"
M.decode = core.decode

--- The first member name that stands in its object already: of such members `decode` keeps the last.
-- @function duplicate
-- @tparam string text one that `decode` reads
-- @treturn ?string the name, as it is written there; nil when there is none
-- @treturn ?integer the line where it stands again
M.duplicate = core.duplicate

--- Writes a value. Raises for what JSON cannot say: functions, NaN, tables
-- with both kinds of keys or with gaps. Bytes that are no UTF-8 become U+FFFD.
-- @function encode
-- @param value table, string, number, boolean or `null`
-- @tparam[opt] table options `pretty`: with line breaks and indentation
-- @treturn string
M.encode = core.encode

--- Marks a table as an array, so that it is written as `[]` when it is empty.
-- @function array
-- @tparam[opt] table t changed in place; a new one when left out
-- @treturn table t
M.array = core.array

--- Whether a value is written as an array.
-- @function is_array
-- @param value
-- @treturn boolean
M.is_array = core.is_array

return M
