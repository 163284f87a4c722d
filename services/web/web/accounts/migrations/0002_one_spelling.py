import django.db.models.functions.comparison
import django.db.models.functions.text
from django.db import migrations, models

import web.accounts.addresses
from contracts.addresses import InvalidAddressError, canonical


def respell(apps, schema_editor):
    """Give each account's address its one spelling, unless another account has that already."""
    user = apps.get_model('accounts', 'User')
    address = apps.get_model('account', 'EmailAddress')
    for each in user.objects.iterator():
        try:
            spelling = canonical(each.email)
        except InvalidAddressError:
            continue
        if spelling != each.email and not user.objects.filter(email=spelling).exists():
            address.objects.filter(user=each, email=each.email).update(email=spelling)
            user.objects.filter(pk=each.pk).update(email=spelling)


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0001_initial'),
        ('account', '0001_initial'),
    ]

    operations = [
        migrations.RunPython(respell, migrations.RunPython.noop),
        migrations.RemoveConstraint(model_name='user', name='user_email_lower_case'),
        migrations.AlterField(
            model_name='user',
            name='email',
            field=web.accounts.addresses.AddressColumn(max_length=254, verbose_name='e-mail address'),
        ),
        migrations.AddConstraint(
            model_name='user',
            constraint=models.CheckConstraint(
                condition=models.Q(('email', django.db.models.functions.text.Lower(django.db.models.functions.comparison.Collate('email', 'C')))),
                name='user_email_lower_case',
            ),
        ),
    ]
