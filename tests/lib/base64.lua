--- Base64 for the values of Consul's keys, apart from the product's own.
local M = {}

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function symbol(number)
  return ALPHABET:sub(number + 1, number + 1)
end

function M.encode(bytes)
  local out = {}
  for at = 1, #bytes, 3 do
    local a, b, c = bytes:byte(at, at + 2)
    local word = a << 16 | (b or 0) << 8 | (c or 0)
    out[#out + 1] = symbol(word >> 18) .. symbol(word >> 12 & 63)
      .. (b and symbol(word >> 6 & 63) or "=") .. (c and symbol(word & 63) or "=")
  end
  return table.concat(out)
end

function M.decode(text)
  local out, word, bits = {}, 0, 0
  for character in text:gmatch("[A-Za-z0-9+/]") do
    word, bits = word << 6 | (ALPHABET:find(character, 1, true) - 1), bits + 6
    if bits >= 8 then
      bits = bits - 8
      out[#out + 1] = string.char(word >> bits & 255)
      word = word & ((1 << bits) - 1)
    end
  end
  return table.concat(out)
end

return M
