import uuid

import django.db.models.functions.datetime
from django.db import migrations, models

import web.accounts.addresses


def move_unverified(apps, schema_editor):
    """Make registrations of those who registered and never proved to own their address."""
    user = apps.get_model('accounts', 'User')
    registration = apps.get_model('accounts', 'Registration')
    address = apps.get_model('account', 'EmailAddress')
    email = apps.get_model('mail', 'Email')
    verified = address.objects.filter(user=models.OuterRef('pk'), verified=True)
    unverified = address.objects.filter(user=models.OuterRef('pk'), verified=False)
    waiting = user.objects.filter(
        models.Exists(unverified), ~models.Exists(verified), is_staff=False, is_active=True
    )
    for each in waiting.iterator():
        registration.objects.create(
            id=each.pk, email=each.email, password=each.password, created_at=each.created_at
        )
        email.objects.filter(user=each).update(user=None)
        each.delete()


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0002_one_spelling'),
        ('account', '0001_initial'),
        ('mail', '0002_reconciliation'),
        ('jobs', '0002_reconciliation'),
    ]

    operations = [
        migrations.CreateModel(
            name='Registration',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('email', web.accounts.addresses.AddressColumn(db_index=True, max_length=254, verbose_name='e-mail address')),
                ('password', models.CharField(max_length=128)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), db_index=True, editable=False)),
            ],
        ),
        migrations.CreateModel(
            name='KnownNetwork',
            fields=[
                ('key', models.CharField(max_length=64, primary_key=True, serialize=False)),
                ('seen_at', models.DateTimeField(db_index=True)),
            ],
        ),
        migrations.RunPython(move_unverified, migrations.RunPython.noop),
    ]
