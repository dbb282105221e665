"""Stands for pressroom.wire.crypto in a port that has neither viper nor cryptolib: it can be imported, not called."""

AesCounter = HmacSha1 = is_same = None
