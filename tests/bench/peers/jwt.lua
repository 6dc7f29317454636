-- Checks a JWT with the OpenSSL that nginx is linked with: signature, issuer, audience and expiry. Good ones may be kept
-- in a cache of lua-resty-lrucache until they expire.
local ffi = require "ffi"
local cjson = require "cjson.safe"
local base64 = require "ngx.base64"
local lrucache = require "resty.lrucache"

ffi.cdef [[
typedef struct evp_md_st EVP_MD;
typedef struct evp_md_ctx_st EVP_MD_CTX;
typedef struct evp_pkey_st EVP_PKEY;
typedef struct bio_st BIO;
const EVP_MD *EVP_sha256(void);
unsigned char *HMAC(const EVP_MD *md, const void *key, int key_len, const unsigned char *d, size_t n,
                    unsigned char *out, unsigned int *out_len);
int CRYPTO_memcmp(const void *a, const void *b, size_t len);
BIO *BIO_new_mem_buf(const void *buf, int len);
int BIO_free(BIO *bio);
EVP_PKEY *PEM_read_bio_PUBKEY(BIO *bio, EVP_PKEY **x, void *cb, void *u);
EVP_MD_CTX *EVP_MD_CTX_new(void);
int EVP_MD_CTX_reset(EVP_MD_CTX *ctx);
int EVP_DigestVerifyInit(EVP_MD_CTX *ctx, void **pctx, const EVP_MD *type, void *e, EVP_PKEY *pkey);
int EVP_DigestVerify(EVP_MD_CTX *ctx, const unsigned char *sig, size_t siglen, const unsigned char *tbs, size_t tbslen);
]]

local C, sha256 = ffi.C, ffi.C.EVP_sha256()
local digest = ffi.new("unsigned char[32]")
local ISSUER, AUDIENCE = "http://gateway.test", "bench"

local verify = {}

function verify.HS256(self, message, signature)
    if #signature ~= 32 then
        return false
    end
    C.HMAC(sha256, self.key, #self.key, message, #message, digest, nil)
    return C.CRYPTO_memcmp(digest, signature, 32) == 0
end

-- RFC 7518 §3.4 has the two numbers as they are, OpenSSL wants them in DER.
local function integer(bytes)
    bytes = bytes:gsub("^%z+", "")
    if bytes == "" or bytes:byte(1) >= 128 then
        bytes = "\0" .. bytes
    end
    return "\2" .. string.char(#bytes) .. bytes
end

function verify.ES256(self, message, signature)
    if #signature ~= 64 then
        return false
    end
    local both = integer(signature:sub(1, 32)) .. integer(signature:sub(33))
    local der = "\48" .. string.char(#both) .. both
    C.EVP_MD_CTX_reset(self.context)
    return C.EVP_DigestVerifyInit(self.context, nil, sha256, nil, self.key) == 1
        and C.EVP_DigestVerify(self.context, der, #der, message, #message) == 1
end

local Checker = {}
Checker.__index = Checker

local function read_file(path)
    local file = assert(io.open(path, "rb"))
    local content = file:read("*a")
    file:close()
    return content
end

local function decoded(part)
    local text = base64.decode_base64url(part)
    return text and cjson.decode(text)
end

function Checker:verified(token)
    local head, body, signature = token:match("^([%w_-]+)%.([%w_-]+)%.([%w_-]+)$")
    local header = head and decoded(head)
    signature = signature and base64.decode_base64url(signature)
    if not header or header.alg ~= self.algorithm or not signature then
        return nil
    end
    if not verify[self.algorithm](self, head .. "." .. body, signature) then
        return nil
    end
    local claims = decoded(body)
    if not claims or claims.iss ~= ISSUER or claims.aud ~= AUDIENCE then
        return nil
    end
    return { user = claims.sub, expires = claims.exp }
end

-- The user of a good token, or nothing.
function Checker:check(authorization)
    if not authorization or authorization:sub(1, 7) ~= "Bearer " then
        return nil
    end
    local token = authorization:sub(8)
    local known = self.cache and self.cache:get(token)
    if not known then
        known = self:verified(token)
        if known and self.cache then
            self.cache:set(token, known)
        end
    end
    return known and known.expires > ngx.time() and known.user or nil
end

local M = {}

-- Checks tokens of this algorithm with the key in this file, and keeps so many; 0 keeps none.
function M.new(algorithm, path, kept)
    local self = setmetatable({ algorithm = algorithm, key = read_file(path) }, Checker)
    if algorithm == "ES256" then
        local bio = C.BIO_new_mem_buf(self.key, #self.key)
        self.key = C.PEM_read_bio_PUBKEY(bio, nil, nil, nil)
        C.BIO_free(bio)
        self.context = C.EVP_MD_CTX_new()
    end
    if kept > 0 then
        self.cache = assert(lrucache.new(kept))
    end
    return self
end

return M
